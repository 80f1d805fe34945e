"""Generated event classes: their contract, the checks of their fields, and the catalog.

Generated modules import this package and nothing else of the SDK. Decoders bypass the converters
and validators of this package, and only those, because what they check is what decoding itself
guarantees.
"""

from __future__ import annotations

from sdk.avro.duration import Duration as Duration
from sdk.avro.event_info import EventInfo as EventInfo
from sdk.events.catalog import Catalog as Catalog
from sdk.events.catalog import CatalogEntry as CatalogEntry
from sdk.events.catalog import find_catalog as find_catalog
from sdk.events.checks import checked as checked
from sdk.events.fields import aware as aware
from sdk.events.fields import decimal_digits as decimal_digits
from sdk.events.fields import each as each
from sdk.events.fields import finite as finite
from sdk.events.fields import fixed_size as fixed_size
from sdk.events.fields import float32 as float32
from sdk.events.fields import freeze as freeze
from sdk.events.fields import int32 as int32
from sdk.events.fields import int64 as int64
from sdk.events.fields import naive as naive
from sdk.events.fields import to_map as to_map
from sdk.events.fields import to_millis as to_millis
from sdk.events.fields import to_tuple as to_tuple
from sdk.events.info import E as E
from sdk.events.info import Event as Event
from sdk.lazy import lazy_names as lazy_names
