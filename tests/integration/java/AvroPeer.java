import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Apache Avro's Java library as a peer: bodies only, no registry. */
final class AvroPeer {
    private AvroPeer() {}

    public static void main(String[] arguments) throws Exception {
        Lines.serve(AvroPeer::handle);
    }

    private static void handle(JsonNode request, ObjectNode answer) throws Exception {
        String operation = request.get("op").asText();
        switch (operation) {
            case "encode":
                encode(request, answer);
                break;
            case "decode":
                decode(request, answer);
                break;
            case "parse":
                Schema schema = Data.schema(request.get("schema"));
                answer.put("text", schema.toString());
                answer.put("canonical", SchemaNormalization.toParsingForm(schema));
                answer.put("fingerprint", Data.hex(
                        SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema)));
                answer.put("sha256", Data.hex(
                        SchemaNormalization.parsingFingerprint("SHA-256", schema)));
                break;
            case "compatible":
                compatible(request, answer);
                break;
            default:
                throw new IllegalArgumentException("unknown operation " + operation);
        }
    }

    private static void encode(JsonNode request, ObjectNode answer) throws Exception {
        Schema schema = Data.schema(request.get("schema"));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<Object>(schema)
                .write(Data.fromJson(schema, request.get("json")), encoder);
        encoder.flush();
        answer.put("hex", Data.hex(out.toByteArray()));
    }

    private static void decode(JsonNode request, ObjectNode answer) throws Exception {
        Schema writer = Data.schema(request.get("writer"));
        Schema reader = request.hasNonNull("reader") ? Data.schema(request.get("reader")) : writer;
        byte[] bytes = Data.bytes(request.get("hex").asText());
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(bytes, null);
        boolean logical = request.path("logical").asBoolean(false);
        GenericData data = logical ? logical() : GenericData.get();
        Object value = new GenericDatumReader<Object>(writer, reader, data).read(null, decoder);
        answer.put("rest", decoder.inputStream().available());
        answer.set("value", logical ? Data.render(value) : Data.toJson(reader, value));
    }

    /** All of {@link Data#logical}, and what Confluent's older Avro has not. */
    private static GenericData logical() {
        GenericData data = Data.logical();
        data.addLogicalTypeConversion(new Conversions.BigDecimalConversion());
        return data;
    }

    private static void compatible(JsonNode request, ObjectNode answer) {
        SchemaCompatibility.SchemaPairCompatibility result =
                SchemaCompatibility.checkReaderWriterCompatibility(
                        Data.schema(request.get("reader")), Data.schema(request.get("writer")));
        answer.put("compatible",
                result.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE);
        ArrayNode reasons = answer.putArray("reasons");
        for (SchemaCompatibility.Incompatibility reason : result.getResult().getIncompatibilities()) {
            reasons.addObject()
                    .put("type", reason.getType().name())
                    .put("location", reason.getLocation())
                    .put("message", reason.getMessage());
        }
    }
}
