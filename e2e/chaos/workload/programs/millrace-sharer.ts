import { type AcknowledgementOutcome, ShareConsumer } from '@millrace/client'
import {
  type Body,
  type ClientRequest,
  pollIntervalMs,
  requestTimeoutMs,
  shareWaitMs,
  type WirePlace,
  type WireVerdict,
} from '../client-protocol.ts'

/** Acknowledgements of one request, until it is known what became of all. */
class Told {
  readonly #open: Set<string>
  readonly #taken: WirePlace[] = []
  readonly #refused: WirePlace[] = []
  readonly #done = Promise.withResolvers<Body>()

  constructor(verdicts: readonly WireVerdict[]) {
    this.#open = new Set(verdicts.map(([topic, partition, offset]) => nameOf(topic, partition, offset)))
  }

  get body(): Promise<Body> {
    return this.#done.promise
  }

  get isKnown(): boolean {
    return this.#open.size === 0
  }

  /** False: it is none of these, or known already. */
  tell(topic: string, partition: number, offset: number, error: unknown): boolean {
    if (!this.#open.delete(nameOf(topic, partition, offset))) return false
    if (error === null) this.#taken.push([topic, partition, offset])
    else if ((error as { code?: string }).code === 'INVALID_RECORD_STATE')
      this.#refused.push([topic, partition, offset])
    if (this.isKnown) this.finish()
    return true
  }

  /** Answers with what is known. */
  finish(): void {
    this.#done.resolve({ taken: this.#taken, refused: this.#refused })
  }
}

/** A member of a share group, with Millrace's own client, behind the protocol of client-protocol.ts. */
export class Sharer {
  readonly #consumer: ShareConsumer
  /** In the order of the requests. */
  #waiting: Told[] = []
  #last: Promise<unknown> = Promise.resolve()

  constructor(bootstrapServers: string, groupId: string) {
    this.#consumer = new ShareConsumer({
      bootstrapServers,
      groupId,
      requestTimeoutMs,
      defaultApiTimeoutMs: 15_000,
      reconnectBackoffMaxMs: 300,
      shareAcknowledgementMode: 'explicit',
      fetchMaxWaitMs: shareWaitMs,
      maxPollIntervalMs: pollIntervalMs,
      onAcknowledgements: (outcome) => this.#onAcknowledged(outcome),
    })
  }

  /** Does one thing after the other. What is not awaited is answered when it is known, and holds nothing up. */
  handle(request: ClientRequest): Promise<Body> {
    const told = request.op === 'acknowledge' ? new Told(request.verdicts) : null
    const work = this.#last.then(() =>
      told === null || request.op !== 'acknowledge' ? this.#do(request) : this.#acknowledge(request, told),
    )
    this.#last = work.catch(() => undefined)
    return told === null ? work : work.then(() => told.body)
  }

  async #do(request: ClientRequest): Promise<Body> {
    switch (request.op) {
      case 'subscribe':
        this.#consumer.subscribe(request.topics)
        return {}
      case 'acquire': {
        const records = await this.#consumer.poll({ timeoutMs: request.maxMs })
        return {
          delivered: records.map(
            ({ topic, partition, offset, value, deliveryCount }) =>
              [topic, partition, Number(offset), value?.toString() ?? '', deliveryCount] as const,
          ),
        }
      }
      case 'close':
        await this.#consumer.close({ timeoutMs: 2000 })
        for (const told of this.#waiting) told.finish()
        return {}
      default:
        throw new Error(`no share consumer does ${request.op}`)
    }
  }

  async #acknowledge(
    { verdicts, isAwaited }: Extract<ClientRequest, { op: 'acknowledge' }>,
    told: Told,
  ): Promise<Body> {
    this.#waiting.push(told)
    for (const [topic, partition, offset, verdict] of verdicts) {
      try {
        this.#consumer.acknowledge({ topic, partition, offset }, verdict)
      } catch (error) {
        // It is not in hand any more: nobody is told anything.
        told.tell(topic, partition, offset, error)
      }
    }
    if (isAwaited) {
      try {
        await this.#consumer.commit()
      } finally {
        told.finish()
      }
    }
    return {}
  }

  #onAcknowledged({ topic, partition, offsets, error }: AcknowledgementOutcome): void {
    for (const offset of offsets) this.#waiting.some((told) => told.tell(topic, partition, Number(offset), error))
    this.#waiting = this.#waiting.filter((told) => !told.isKnown)
  }
}

function nameOf(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition}@${offset}`
}
