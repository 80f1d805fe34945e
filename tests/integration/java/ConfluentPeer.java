import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericContainer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Confluent's serializer and deserializer and Apache's Kafka clients as a peer. */
final class ConfluentPeer {
    private static final String RECORD = "io.confluent.kafka.serializers.subject.RecordNameStrategy";

    private ConfluentPeer() {}

    public static void main(String[] arguments) throws Exception {
        Lines.serve(ConfluentPeer::handle);
    }

    private static void handle(JsonNode request, ObjectNode answer) throws Exception {
        String operation = request.get("op").asText();
        switch (operation) {
            case "produce":
                produce(request, answer);
                break;
            case "consume":
                consume(request, answer);
                break;
            default:
                throw new IllegalArgumentException("unknown operation " + operation);
        }
    }

    /** Settings of both serdes: subjects by record name, as the SDK's default is. */
    private static Map<String, Object> settings(JsonNode request) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", request.get("bootstrap_servers").asText());
        settings.put("schema.registry.url", request.get("registry").asText());
        settings.put("value.subject.name.strategy", request.path("strategy").asText(RECORD));
        settings.put("auto.register.schemas", request.path("register").asBoolean(true));
        settings.put("avro.use.logical.type.converters", false);
        return settings;
    }

    /** Sends records whose values come in Avro's JSON encoding; null is a tombstone. */
    private static void produce(JsonNode request, ObjectNode answer) throws Exception {
        ArrayNode reports = answer.putArray("reports");
        Map<String, Object> settings = settings(request);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", KafkaAvroSerializer.class.getName());
        String topic = request.get("topic").asText();
        try (KafkaProducer<String, Object> producer = new KafkaProducer<>(settings)) {
            for (JsonNode record : request.get("records")) {
                String key = record.hasNonNull("key") ? record.get("key").asText() : null;
                Object value = null;
                if (record.hasNonNull("json")) {
                    Schema schema = Data.schema(record.get("schema"));
                    value = Data.fromJson(schema, record.get("json"));
                }
                RecordMetadata sent = producer.send(new ProducerRecord<>(topic, key, value)).get();
                reports.addObject().put("partition", sent.partition()).put("offset", sent.offset());
            }
        }
    }

    /** Reads a number of records of a topic from its beginning. */
    private static void consume(JsonNode request, ObjectNode answer) throws Exception {
        ArrayNode records = answer.putArray("records");
        Map<String, Object> settings = settings(request);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", KafkaAvroDeserializer.class.getName());
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        int count = request.get("count").asInt();
        long deadline = System.nanoTime() + 30_000_000_000L;
        try (KafkaConsumer<String, Object> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo one : consumer.partitionsFor(request.get("topic").asText())) {
                partitions.add(new TopicPartition(one.topic(), one.partition()));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (records.size() < count && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, Object> record : consumer.poll(Duration.ofMillis(200))) {
                    records.add(rendered(record));
                }
            }
        }
    }

    private static ObjectNode rendered(ConsumerRecord<String, Object> record) throws Exception {
        ObjectNode node = Lines.JSON.createObjectNode();
        node.put("key", record.key()).put("partition", record.partition());
        node.put("offset", record.offset());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            byte[] value = header.value();
            headers.addArray().add(header.key()).add(value == null ? null : Data.hex(value));
        }
        if (record.value() instanceof GenericContainer) {
            Schema schema = ((GenericContainer) record.value()).getSchema();
            node.put("schema", schema.toString());
            node.put("event", schema.getFullName());
            node.set("json", Data.toJson(schema, record.value()));
        } else {
            node.set("json", Data.render(record.value()));
        }
        return node;
    }
}
