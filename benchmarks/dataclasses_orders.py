"""OrderCreated as a class of dataclasses-avroschema."""

import dataclasses
import enum
import uuid
from typing import Any

from dataclasses_avroschema import AvroModel, types


class Currency(enum.Enum):
    EUR = "EUR"
    USD = "USD"
    GBP = "GBP"


@dataclasses.dataclass
class Line(AvroModel):
    sku: str
    quantity: types.Int32
    price: types.condecimal(max_digits=10, decimal_places=2)  # type: ignore[valid-type]


@dataclasses.dataclass
class OrderCreated(AvroModel):
    order_id: uuid.UUID
    created_at: types.DateTimeMicro
    total_amount: types.condecimal(max_digits=12, decimal_places=2)  # type: ignore[valid-type]
    customer: str
    currency: Currency
    note: str | None
    lines: list[Line]


def order(value: dict[str, Any]) -> OrderCreated:
    lines = [Line(**line) for line in value["lines"]]
    return OrderCreated(**{**value, "currency": Currency(value["currency"]), "lines": lines})
