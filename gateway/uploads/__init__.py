"""The place of resumable uploads straight to the object store."""
