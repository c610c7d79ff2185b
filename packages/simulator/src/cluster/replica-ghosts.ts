import type { ReplicaGhost } from './replica-ghost.ts'

/** The ghosts of the replicas of several topics, each told what concerns it. */
export class ReplicaGhosts {
  readonly #byTopic = new Map<string, ReplicaGhost>()

  add(topic: string, ghost: ReplicaGhost): void {
    this.#byTopic.set(topic, ghost)
  }

  observe(): void {
    for (const ghost of this.#byTopic.values()) ghost.observe()
  }

  afterEvent(): void {
    for (const ghost of this.#byTopic.values()) ghost.afterEvent()
  }

  onEnded(node: number, wasServing: boolean): void {
    for (const ghost of this.#byTopic.values()) ghost.onEnded(node, wasServing)
  }

  onRecordsRotten(node: number): void {
    for (const ghost of this.#byTopic.values()) ghost.onRecordsRotten(node)
  }

  forget(node: number): void {
    for (const ghost of this.#byTopic.values()) ghost.forget(node)
  }

  forgetReplica(node: number, topic: string, partition: number): void {
    this.#byTopic.get(topic)?.forgetReplica(node, partition)
  }

  /** Something of the file is about to be removed. */
  beforeCut(node: number, path: string): void {
    const { topic, partition } = PARTITION_LOG.exec(path)?.groups ?? {}
    if (topic !== undefined) this.#byTopic.get(topic)?.beforeCut(node, Number(partition))
  }
}

const PARTITION_LOG = /\/(?<topic>[^/]+)-(?<partition>[0-9]+)\/[0-9]+\.log$/
