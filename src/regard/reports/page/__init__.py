"""The report page: what `web/src/content/schema.ts` says, written from a record into the built template."""
