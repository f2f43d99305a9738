"""Search strategies, one per file, on the contract of ``searcher.ArchitectureSearcher``."""
