"""The event listeners that come with cdktr: files in a folder, requests over HTTP."""
