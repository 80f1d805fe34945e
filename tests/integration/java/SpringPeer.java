import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaOperations;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.ListenerExecutionFailedException;
import org.springframework.kafka.retrytopic.DeadLetterPublishingRecovererFactory;
import org.springframework.kafka.retrytopic.DefaultDestinationTopicResolver;
import org.springframework.kafka.retrytopic.DestinationTopic;
import org.springframework.kafka.retrytopic.DestinationTopicPropertiesFactory;
import org.springframework.kafka.retrytopic.DltStrategy;
import org.springframework.kafka.retrytopic.SameIntervalTopicReuseStrategy;
import org.springframework.kafka.retrytopic.TopicSuffixingStrategy;
import org.springframework.kafka.support.ExceptionMatcher;

/** Spring for Apache Kafka's own retry topics and dead letters, without a broker. */
final class SpringPeer {
    private static final String LISTENER = "listener";
    private static final HexFormat HEX = HexFormat.of();
    private static final KafkaOperations<Object, Object> TEMPLATE =
            new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(Map.of()));

    private SpringPeer() {}

    public static void main(String[] arguments) throws Exception {
        Lines.serve(SpringPeer::handle);
    }

    private static void handle(JsonNode request, ObjectNode answer) {
        switch (request.get("op").asText()) {
            case "names":
                names(request, answer);
                break;
            case "dead_letter":
                forward(request, answer, new Capture(TEMPLATE));
                break;
            case "retry":
                forward(request, answer, retrying(request));
                break;
            default:
                throw new IllegalArgumentException("unknown operation");
        }
    }

    /** The topics of a chain: the source, the retry topics, the dead-letter topic. */
    private static void names(JsonNode request, ObjectNode answer) {
        ArrayNode names = answer.putArray("names");
        chain(request).forEach(topic -> names.add(topic.getDestinationName()));
    }

    private static List<DestinationTopic> chain(JsonNode request) {
        List<Long> delays = new ArrayList<>();
        request.get("delays").forEach(delay -> delays.add(delay.asLong()));
        String source = request.get("source").asText();
        List<DestinationTopic> chain = new ArrayList<>();
        new DestinationTopicPropertiesFactory(null, null, delays,
                ExceptionMatcher.defaultMatcher(), 1, TEMPLATE, DltStrategy.ALWAYS_RETRY_ON_ERROR,
                TopicSuffixingStrategy.SUFFIX_WITH_DELAY_VALUE,
                SameIntervalTopicReuseStrategy.SINGLE_TOPIC, -1, Map.of())
                .createProperties()
                .forEach(properties -> chain.add(
                        new DestinationTopic(source + properties.suffix(), properties)));
        return chain;
    }

    private static Capture retrying(JsonNode request) {
        DefaultDestinationTopicResolver resolver = new DefaultDestinationTopicResolver();
        resolver.addDestinationTopics(LISTENER, chain(request));
        DeadLetterPublishingRecovererFactory factory =
                new DeadLetterPublishingRecovererFactory(resolver);
        factory.neverLogListenerException();
        Capture[] made = new Capture[1];
        factory.setDeadLetterPublisherCreator((template, destination) -> {
            made[0] = new Capture(template, destination);
            return made[0];
        });
        factory.create(LISTENER);
        return made[0];
    }

    /** Has Spring forward a failed record, and answers with what it would send. */
    private static void forward(JsonNode request, ObjectNode answer, Capture recoverer) {
        Exception cause = new IllegalStateException(request.path("message").asText());
        Exception error = new ListenerExecutionFailedException(
                "failed", request.path("group").asText(), cause);
        recoverer.accept(record(request.get("record")), null, error);
        ProducerRecord<Object, Object> sent = recoverer.sent;
        answer.put("topic", sent.topic());
        answer.put("partition", sent.partition());
        answer.put("key", hex((byte[]) sent.key()));
        answer.put("value", hex((byte[]) sent.value()));
        ArrayNode headers = answer.putArray("headers");
        for (Header header : sent.headers()) {
            headers.addArray().add(header.key()).add(hex(header.value()));
        }
    }

    private static ConsumerRecord<byte[], byte[]> record(JsonNode given) {
        RecordHeaders headers = new RecordHeaders();
        for (JsonNode header : given.get("headers")) {
            headers.add(header.get(0).asText(), bytes(header.get(1)));
        }
        return new ConsumerRecord<>(given.get("topic").asText(), given.get("partition").asInt(),
                given.get("offset").asLong(), given.get("timestamp").asLong(),
                TimestampType.CREATE_TIME, -1, -1, bytes(given.get("key")),
                bytes(given.get("value")), headers, Optional.empty());
    }

    private static byte[] bytes(JsonNode hex) {
        return hex.isNull() ? null : HEX.parseHex(hex.asText());
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? null : HEX.formatHex(bytes);
    }

    /** Keeps what it is to send. */
    private static final class Capture extends DeadLetterPublishingRecoverer {
        private ProducerRecord<Object, Object> sent;

        Capture(KafkaOperations<Object, Object> template) {
            super(template);
        }

        Capture(Function<ProducerRecord<?, ?>, ? extends KafkaOperations<?, ?>> template,
                BiFunction<ConsumerRecord<?, ?>, Exception, TopicPartition> destination) {
            super(template, destination);
        }

        @Override
        protected void send(ProducerRecord<Object, Object> record,
                KafkaOperations<Object, Object> template, ConsumerRecord<?, ?> failed) {
            sent = record;
        }
    }
}
