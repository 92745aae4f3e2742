"""Searches training documents for the samples of a task: by word n-grams, syntax trees and embeddings."""
