"""Everything that a starter bundle has to show, measured live on voices that it never heard."""
