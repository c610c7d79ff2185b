import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.errors.InvalidRecordStateException;

/** A member of a share group behind the protocol of client-protocol.ts. Its consumer is used by one thread only. */
final class ShareMember {
    private static final Duration API_TIMEOUT = Duration.ofSeconds(15);
    private final KafkaShareConsumer<String, String> consumer;
    private final ExecutorService thread;
    private final Consumer<ObjectNode> write;
    /** What the last poll gave, by place. */
    private final Map<String, ConsumerRecord<String, String>> given = new HashMap<>();
    /** Requests with acknowledgements of which not all is known, in their order. */
    private final List<Told> waiting = new ArrayList<>();

    private static final class Told {
        final Set<String> open = new HashSet<>();
        final ObjectNode reply;
        final ArrayNode taken;
        final ArrayNode refused;

        Told(ObjectNode reply) {
            this.reply = reply;
            taken = reply.putArray("taken");
            refused = reply.putArray("refused");
        }
    }

    ShareMember(Properties settings, ExecutorService thread, Consumer<ObjectNode> write) {
        this.thread = thread;
        this.write = write;
        consumer = new KafkaShareConsumer<>(settings);
        consumer.setAcknowledgementCommitCallback((offsets, error) -> offsets.forEach((partition, list) -> {
            for (long offset : list) tell(partition.topic(), partition.partition(), offset, error);
        }));
    }

    void execute(long id, String operation, JsonNode request) {
        thread.execute(() -> {
            try {
                run(KafkaChaosClient.answer(id, "ok"), operation, request);
            } catch (RuntimeException error) {
                write.accept(KafkaChaosClient.answer(id, "info").put("error", error.toString()));
            }
        });
    }

    private void run(ObjectNode reply, String operation, JsonNode request) {
        switch (operation) {
            case "subscribe":
                consumer.subscribe(KafkaChaosClient.topics(request));
                break;
            case "acquire":
                acquire(reply.putArray("delivered"), Duration.ofMillis(request.get("maxMs").asLong()));
                break;
            case "acknowledge":
                acknowledge(new Told(reply), request);
                return;
            case "close":
                close();
                break;
            default:
                throw new IllegalArgumentException("no share consumer does " + operation);
        }
        write.accept(reply);
    }

    private void acquire(ArrayNode delivered, Duration limit) {
        given.clear();
        for (ConsumerRecord<String, String> record : consumer.poll(limit)) {
            delivered.addArray().add(record.topic()).add(record.partition()).add(record.offset())
                .add(record.value()).add(record.deliveryCount().orElse((short) 0));
            given.put(nameOf(record.topic(), record.partition(), record.offset()), record);
        }
    }

    /** By records: the consumer takes a place alone only of what could not be read. */
    private void acknowledge(Told told, JsonNode request) {
        waiting.add(told);
        for (JsonNode verdict : request.get("verdicts")) told.open.add(nameOf(verdict));
        for (JsonNode verdict : request.get("verdicts")) {
            ConsumerRecord<String, String> record = given.get(nameOf(verdict));
            AcknowledgeType type = AcknowledgeType.valueOf(verdict.get(3).asText().toUpperCase(Locale.ROOT));
            try {
                if (record == null) throw new IllegalStateException("it was not given");
                consumer.acknowledge(record, type);
            } catch (IllegalStateException error) {
                // It is not in hand any more: nobody is told anything.
                tell(verdict.get(0).asText(), verdict.get(1).asInt(), verdict.get(2).asLong(), error);
            }
        }
        if (!request.get("isAwaited").asBoolean()) return;
        try {
            consumer.commitSync(API_TIMEOUT);
        } finally {
            // Whatever it answers by partition, the callback was told by record.
            finish(told);
        }
    }

    private void tell(String topic, int partition, long offset, Exception error) {
        for (Iterator<Told> each = waiting.iterator(); each.hasNext();) {
            Told told = each.next();
            if (!told.open.remove(nameOf(topic, partition, offset))) continue;
            if (error == null) told.taken.addArray().add(topic).add(partition).add(offset);
            if (error instanceof InvalidRecordStateException) told.refused.addArray().add(topic).add(partition).add(offset);
            if (told.open.isEmpty()) {
                each.remove();
                write.accept(told.reply);
            }
            return;
        }
    }

    /** Answers with what is known. */
    private void finish(Told told) {
        if (waiting.remove(told)) write.accept(told.reply);
    }

    private void close() {
        consumer.close(Duration.ofSeconds(2));
        for (Told told : List.copyOf(waiting)) finish(told);
        thread.shutdown();
    }

    private static String nameOf(JsonNode place) {
        return nameOf(place.get(0).asText(), place.get(1).asInt(), place.get(2).asLong());
    }

    private static String nameOf(String topic, int partition, long offset) {
        return topic + "/" + partition + "@" + offset;
    }
}
