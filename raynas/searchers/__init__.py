"""Search strategies, one a file, on the contract of ``searcher.ArchitectureSearcher``."""
