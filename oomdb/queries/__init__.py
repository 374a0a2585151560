"""What is asked of the store: lists, series, frames; reads only, and knows nothing of formats or terminals."""
