"""The native executor of codec plans: bytes ↔ events at the speed of C.

It knows neither Kafka nor registries nor schemas: `compile_encoder` and `compile_decoder` take a
plan, which is data, and return functions. The distribution avro-messaging-sdk uses it where it is
installed, and does without it where it is not.
"""

from sdk_accel._vm import PLAN_VERSION, Unsupported, compile_decoder, compile_encoder

__all__ = ["PLAN_VERSION", "Unsupported", "compile_decoder", "compile_encoder"]
