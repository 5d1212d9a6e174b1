"""DynamoDB's way of writing values, for table changes
(docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html), and how many bytes they have by its
rules. A row of a table is JSON, so binary values and sets do not occur. Invariant: every JSON value has one encoding, that of
the Node guest (attribute-values.ts). Called by cloud_events.py.
"""


def attribute_values(item):
    return {name: attribute_value(value) for name, value in item.items()}


def attribute_value(value):
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, (int, float)):
        return {"N": number_text(value)}
    if isinstance(value, list):
        return {"L": [attribute_value(one) for one in value]}
    return {"M": attribute_values(value)}


def number_text(value):
    """As JSON's other readers write it: 1.0 is 1, and an exponent has no zeros in front."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return mantissa + e + exponent[0] + exponent[1:].lstrip("0") if e else text


def size_bytes(item):
    """Names and values, as DynamoDB counts them (…/developerguide/CapacityUnitCalculations.html)."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in (item or {}).items())


def _value_bytes(value):
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        digits = len(number_text(abs(value)).partition("e")[0].replace(".", "").strip("0"))
        return 1 + (digits + 1) // 2 + (1 if value < 0 else 0)
    if not isinstance(value, (list, dict)):
        return 1
    # Three bytes for the list or map itself, one for each of its values.
    if isinstance(value, list):
        return 3 + sum(1 + _value_bytes(one) for one in value)
    return 3 + len(value) + size_bytes(value)
