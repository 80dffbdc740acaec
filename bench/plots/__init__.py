"""Figures, contact sheets and screenshots."""
