"""Signals from TradingView and other senders: validation layers, receipts, and the delivery log."""
