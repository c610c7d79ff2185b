/** What Kafka calls BrokerTopicMetrics: for all topics together, and per topic. */
export class TopicCounters {
  messagesIn = 0
  bytesIn = 0
  bytesOut = 0
  bytesRejected = 0
  produceRequests = 0
  fetchRequests = 0
  failedProduceRequests = 0
  failedFetchRequests = 0
}

export class TopicMetrics {
  readonly total = new TopicCounters()
  readonly #topics = new Map<string, TopicCounters>()

  of(topic: string): TopicCounters {
    let counters = this.#topics.get(topic)
    if (counters === undefined) {
      counters = new TopicCounters()
      this.#topics.set(topic, counters)
    }
    return counters
  }

  byTopic(): ReadonlyMap<string, TopicCounters> {
    return this.#topics
  }

  forget(topic: string): void {
    this.#topics.delete(topic)
  }
}
