import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.HashSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's own client behind the protocol of client-protocol.ts: KafkaChaosClient BOOTSTRAP TIMES, with its times as JSON. */
public final class KafkaChaosClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration API_TIMEOUT = Duration.ofSeconds(15);
    private static String bootstrap;
    private static JsonNode times;
    private static final Map<String, Client> CLIENTS = new ConcurrentHashMap<>();
    private static final Map<String, ShareMember> SHARERS = new ConcurrentHashMap<>();

    /** A consumer may be used by one thread only, so each client has one. */
    private static final class Client {
        final KafkaProducer<String, String> producer;
        final KafkaConsumer<String, String> consumer;
        /** Hands records over in order: a send may wait for metadata, and must not hold up other clients. */
        final ExecutorService sender = thread();
        final ExecutorService reader = thread();
        boolean isRebalanced = false;

        Client(JsonNode settings) {
            producer = new KafkaProducer<>(producerSettings(settings));
            consumer = new KafkaConsumer<>(consumerSettings(settings));
        }

        void close() {
            producer.close(Duration.ofSeconds(2));
            consumer.close(Duration.ofSeconds(2));
            sender.shutdown();
            reader.shutdown();
        }
    }

    private static ExecutorService thread() {
        return Executors.newSingleThreadExecutor(work -> {
            Thread thread = new Thread(work);
            thread.setDaemon(true);
            return thread;
        });
    }

    private static Properties shared() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("request.timeout.ms", times.get("requestTimeoutMs").asText());
        settings.put("reconnect.backoff.ms", "50");
        settings.put("reconnect.backoff.max.ms", "300");
        settings.put("retry.backoff.ms", "50");
        settings.put("retry.backoff.max.ms", "300");
        settings.put("socket.connection.setup.timeout.ms", "1000");
        settings.put("enable.metrics.push", "false");
        return settings;
    }

    private static Properties producerSettings(JsonNode request) {
        Properties settings = shared();
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("linger.ms", "0");
        settings.put("delivery.timeout.ms", times.get("deliveryTimeoutMs").asText());
        JsonNode transactionalId = request.get("transactionalId");
        if (transactionalId.isNull()) {
            settings.put("max.block.ms", times.get("deliveryTimeoutMs").asText());
        } else {
            long timeoutMs = times.get("transactionTimeoutMs").asLong();
            settings.put("transactional.id", transactionalId.asText());
            settings.put("transaction.timeout.ms", String.valueOf(timeoutMs));
            settings.put("max.block.ms", String.valueOf(2 * timeoutMs));
        }
        return settings;
    }

    private static Properties consumerSettings(JsonNode request) {
        Properties settings = shared();
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("group.id", request.get("group").asText());
        settings.put("group.protocol", request.get("groupProtocol").asText());
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("isolation.level", "read_committed");
        settings.put("max.poll.interval.ms", times.get("pollIntervalMs").asText());
        if (request.get("groupProtocol").asText().equals("classic")) {
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
            settings.put("session.timeout.ms", "10000");
        }
        settings.put("fetch.max.wait.ms", "100");
        return settings;
    }

    private static Properties shareSettings(JsonNode request) {
        Properties settings = shared();
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("group.id", request.get("group").asText());
        settings.put("share.acknowledgement.mode", "explicit");
        settings.put("max.poll.interval.ms", times.get("pollIntervalMs").asText());
        settings.put("fetch.max.wait.ms", times.get("shareWaitMs").asText());
        return settings;
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        times = JSON.readTree(args[1]);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            handle(JSON.readTree(line));
        }
        System.exit(0);
    }

    private static void handle(JsonNode request) {
        long id = request.get("id").asLong();
        String name = request.get("client").asText();
        String operation = request.get("op").asText();
        if (operation.equals("open") && request.get("groupProtocol").asText().equals("share")) {
            SHARERS.put(name, new ShareMember(shareSettings(request), thread(), KafkaChaosClient::write));
            write(answer(id, "ok"));
            return;
        }
        ShareMember sharer = operation.equals("close") ? SHARERS.remove(name) : SHARERS.get(name);
        if (sharer != null) {
            sharer.execute(id, operation, request);
            return;
        }
        if (operation.equals("open")) {
            Client client = new Client(request);
            // Getting a transactional id may take long, and must not hold up other clients.
            client.reader.execute(() -> open(client, name, id, !request.get("transactionalId").isNull()));
            return;
        }
        Client client = operation.equals("close") ? CLIENTS.remove(name) : CLIENTS.get(name);
        if (client == null) {
            write(answer(id, "fail").put("error", "no such client"));
        } else if (operation.equals("send")) {
            client.sender.execute(() -> send(client, id, request));
        } else {
            client.reader.execute(() -> attempt(client, id, operation, request));
        }
    }

    private static void open(Client client, String name, long id, boolean isTransactional) {
        try {
            if (isTransactional) client.producer.initTransactions();
            CLIENTS.put(name, client);
            write(answer(id, "ok"));
        } catch (RuntimeException error) {
            client.close();
            write(answer(id, "info").put("error", error.toString()));
        }
    }

    private static void send(Client client, long id, JsonNode request) {
        ProducerRecord<String, String> record = new ProducerRecord<>(
            request.get("topic").asText(), request.get("partition").asInt(), null, request.get("value").asText());
        try {
            client.producer.send(record, (metadata, error) -> {
                if (error != null) {
                    write(answer(id, "info").put("error", error.toString()));
                } else {
                    write(answer(id, "ok").put("offset", metadata.hasOffset() ? metadata.offset() : -1));
                }
            });
        } catch (RuntimeException error) {
            write(answer(id, "info").put("error", error.toString()));
        }
    }

    private static void attempt(Client client, long id, String operation, JsonNode request) {
        try {
            ObjectNode reply = answer(id, "ok");
            write(operation.equals("txn") ? transact(client, reply, request) : consume(client, reply, operation, request));
        } catch (RuntimeException error) {
            write(answer(id, "info").put("error", error.toString()));
        }
    }

    private static ObjectNode transact(Client client, ObjectNode reply, JsonNode request) {
        KafkaProducer<String, String> producer = client.producer;
        String end = request.get("end").asText();
        boolean isCommitAsked = false;
        try {
            producer.beginTransaction();
            JsonNode sends = request.get("sends");
            int half = (sends.size() + 1) / 2;
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int slot = 0; slot < sends.size(); slot++) {
                if (slot == half) pause(request);
                JsonNode send = sends.get(slot);
                sent.add(producer.send(new ProducerRecord<>(
                    send.get(0).asText(), send.get(1).asInt(), null, send.get(2).asText())));
            }
            if (half == sends.size()) pause(request);
            ArrayNode offsets = JSON.createArrayNode();
            for (Future<RecordMetadata> one : sent) offsets.add(one.get().hasOffset() ? one.get().offset() : -1);
            Map<TopicPartition, OffsetAndMetadata> places = places(request.get("offsets"));
            if (!places.isEmpty()) producer.sendOffsetsToTransaction(places, client.consumer.groupMetadata());
            pause(request);
            isCommitAsked = end.equals("commit");
            if (end.equals("commit")) producer.commitTransaction();
            if (end.equals("abort")) producer.abortTransaction();
            return reply.set("offsets", offsets);
        } catch (RuntimeException | ExecutionException | InterruptedException error) {
            // Whether an abort is possible shows by itself. One that succeeds says that there was no commit, and will be none.
            boolean isAborted = abort(producer);
            String type = isCommitAsked && !isAborted ? "info" : "fail";
            return reply.put("type", type).put("isBroken", !isAborted).put("error", error.toString());
        }
    }

    private static boolean abort(KafkaProducer<String, String> producer) {
        try {
            producer.abortTransaction();
            return true;
        } catch (RuntimeException error) {
            return false;
        }
    }

    /** Half of what was asked for: there is one before the last sends and one before the end. */
    private static void pause(JsonNode request) throws InterruptedException {
        Thread.sleep(request.get("pauseMs").asLong() / 2);
    }

    private static ObjectNode consume(Client client, ObjectNode reply, String operation, JsonNode request) {
        KafkaConsumer<String, String> consumer = client.consumer;
        switch (operation) {
            case "assign": {
                Map<TopicPartition, OffsetAndMetadata> places = places(request.get("places"));
                consumer.assign(places.keySet());
                places.forEach((partition, place) -> consumer.seek(partition, place.offset()));
                return reply;
            }
            case "subscribe":
                consumer.subscribe(topics(request), new ConsumerRebalanceListener() {
                    @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        client.isRebalanced = true;
                    }

                    @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                        client.isRebalanced = true;
                    }
                });
                return reply;
            case "poll": {
                ArrayNode records = reply.putArray("records");
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(request.get("maxMs").asLong()))) {
                    records.addArray().add(record.topic()).add(record.partition()).add(record.offset()).add(record.value());
                }
                reply.put("rebalanced", client.isRebalanced);
                client.isRebalanced = false;
                return reply;
            }
            case "commit":
                consumer.commitSync(places(request.get("places")), API_TIMEOUT);
                return reply;
            case "committed": {
                ArrayNode places = reply.putArray("places");
                consumer.committed(partitions(request), API_TIMEOUT).forEach((partition, place) -> {
                    if (place != null) add(places, partition, place.offset());
                });
                return reply;
            }
            case "ends": {
                ArrayNode places = reply.putArray("places");
                consumer.endOffsets(partitions(request), API_TIMEOUT).forEach((partition, end) -> add(places, partition, end));
                return reply;
            }
            case "close":
                client.close();
                return reply;
            default:
                throw new IllegalArgumentException("no client does " + operation);
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> places(JsonNode list) {
        Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
        for (JsonNode place : list) {
            places.put(new TopicPartition(place.get(0).asText(), place.get(1).asInt()), new OffsetAndMetadata(place.get(2).asLong()));
        }
        return places;
    }

    static List<String> topics(JsonNode request) {
        List<String> topics = new ArrayList<>();
        for (JsonNode topic : request.get("topics")) topics.add(topic.asText());
        return topics;
    }

    private static Set<TopicPartition> partitions(JsonNode request) {
        Set<TopicPartition> partitions = new HashSet<>();
        for (JsonNode place : request.get("partitions")) {
            partitions.add(new TopicPartition(place.get(0).asText(), place.get(1).asInt()));
        }
        return partitions;
    }

    private static void add(ArrayNode places, TopicPartition partition, long offset) {
        places.addArray().add(partition.topic()).add(partition.partition()).add(offset);
    }

    static ObjectNode answer(long id, String type) {
        return JSON.createObjectNode().put("id", id).put("type", type);
    }

    private static synchronized void write(ObjectNode reply) {
        System.out.println(reply);
    }
}
