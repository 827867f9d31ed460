"""Our own measurements, and the origins' ways told again to compare with; not part of the package."""
