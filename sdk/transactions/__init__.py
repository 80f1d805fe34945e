"""Atomic publishing: all of a transaction's records become visible, or none."""

from sdk.transactions.handling import JoinedTransactions as JoinedTransactions
from sdk.transactions.producer import Transactions as Transactions
from sdk.transactions.transaction import Transaction as Transaction
