"""The database: schema, opening, writing, checking; statements are SQLAlchemy Core; Kubernetes is not known here."""
