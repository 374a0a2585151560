"""A folder of files on a web server, such as Jenkins': listed, downloaded, uploaded to; its HTTP stays in this room."""
