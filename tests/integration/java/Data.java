import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.JsonEncoder;

/** Schemas and values in the forms that cross the line to the tests. */
final class Data {
    private Data() {}

    /** Parses one schema, or several of which later ones may name earlier ones; returns the last. */
    static Schema schema(JsonNode texts) {
        Schema.Parser parser = new Schema.Parser();
        if (texts.isTextual()) {
            return parser.parse(texts.asText());
        }
        Schema last = null;
        for (JsonNode text : texts) {
            last = parser.parse(text.asText());
        }
        return last;
    }

    /** Reads Avro's JSON encoding, which knows no logical types. */
    static Object fromJson(Schema schema, JsonNode json) throws Exception {
        return new GenericDatumReader<Object>(schema)
                .read(null, DecoderFactory.get().jsonDecoder(schema, json.toString()));
    }

    /** Writes Avro's JSON encoding, which knows no logical types. */
    static JsonNode toJson(Schema schema, Object value) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        JsonEncoder encoder = org.apache.avro.io.EncoderFactory.get().jsonEncoder(schema, out);
        new GenericDatumWriter<Object>(schema).write(value, encoder);
        encoder.flush();
        return Lines.JSON.readTree(out.toByteArray());
    }

    /** Data with the conversions that Java's users add for logical types. */
    static GenericData logical() {
        GenericData data = new GenericData();
        data.addLogicalTypeConversion(new Conversions.DecimalConversion());
        data.addLogicalTypeConversion(new Conversions.UUIDConversion());
        data.addLogicalTypeConversion(new TimeConversions.DateConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimeMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimeMicrosConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimestampMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
        data.addLogicalTypeConversion(new TimeConversions.LocalTimestampMillisConversion());
        data.addLogicalTypeConversion(new TimeConversions.LocalTimestampMicrosConversion());
        return data;
    }

    /** Renders a value plainly: numbers and text as JSON has them, other types by toString. */
    static JsonNode render(Object value) {
        if (value == null) {
            return Lines.JSON.nullNode();
        }
        if (value instanceof IndexedRecord) {
            IndexedRecord record = (IndexedRecord) value;
            ObjectNode node = Lines.JSON.createObjectNode();
            for (Schema.Field field : record.getSchema().getFields()) {
                node.set(field.name(), render(record.get(field.pos())));
            }
            return node;
        }
        if (value instanceof Collection) {
            ArrayNode node = Lines.JSON.createArrayNode();
            ((Collection<?>) value).forEach(item -> node.add(render(item)));
            return node;
        }
        if (value instanceof Map) {
            ObjectNode node = Lines.JSON.createObjectNode();
            ((Map<?, ?>) value).forEach((key, item) -> node.set(key.toString(), render(item)));
            return node;
        }
        if (value instanceof Integer || value instanceof Long || value instanceof Double
                || value instanceof Float || value instanceof Boolean) {
            return Lines.JSON.valueToTree(value);
        }
        if (value instanceof ByteBuffer) {
            ByteBuffer bytes = ((ByteBuffer) value).duplicate();
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            return Lines.JSON.valueToTree(hex(copy));
        }
        if (value instanceof GenericFixed) {
            return Lines.JSON.valueToTree(hex(((GenericFixed) value).bytes()));
        }
        if (value instanceof BigDecimal) {
            return Lines.JSON.valueToTree(((BigDecimal) value).toPlainString());
        }
        return Lines.JSON.valueToTree(value.toString());
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte one : bytes) {
            text.append(String.format("%02x", one));
        }
        return text.toString();
    }

    static byte[] bytes(String hex) {
        byte[] bytes = new byte[hex.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
