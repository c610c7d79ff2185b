import type { Clock, Random } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import {
  BROKER_PROOF_MECHANISM,
  brokerProof,
  decodeBrokerHello,
  encodeBrokerChallenge,
  isBrokerProof,
  PROOF_NONCE_BYTES,
} from '../replication/broker-proof.ts'
import type { ConnectionContext } from './handler.ts'

/** Of those that fail, one in so long is logged. */
const TELL_INTERVAL_MS = 60_000

export interface BrokerProofsOptions {
  readonly nodeId: number
  clusterId(): string
  /** `controller.peer.secret`; null: brokers cannot prove anything here. */
  readonly secret: Buffer | null
  readonly random: Random
  readonly clock: Clock
  readonly logger: Logger
}

interface Dialogue {
  /** Null before the client has said who it is. */
  hello: Buffer | null
  challenge: Buffer | null
  brokerId: number
}

/** An answer to one step: what to send, or the error. */
export type ProofAnswer = { readonly bytes: Buffer } | { readonly errorCode: number; readonly message: string }

/** The server's side of {@link BROKER_PROOF_MECHANISM}, for all connections. What a connection has proved stands in its context. */
export class BrokerProofs {
  readonly #options: BrokerProofsOptions
  readonly #dialogues = new WeakMap<ConnectionContext, Dialogue>()
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(options: BrokerProofsOptions) {
    this.#options = options
  }

  /** Whether only who has proved to be a broker is taken for one. Without a secret nobody can. */
  get areAskedFor(): boolean {
    return this.#options.secret !== null
  }

  /** Begins with a connection that asks for this mechanism; the error of SaslHandshake. Clients are not authenticated (as on Kafka's PLAINTEXT). */
  begin(connection: ConnectionContext, mechanism: string): number {
    this.#dialogues.delete(connection)
    if (mechanism !== BROKER_PROOF_MECHANISM) return ErrorCode.ILLEGAL_SASL_STATE
    if (this.#options.secret === null) return ErrorCode.UNSUPPORTED_SASL_MECHANISM
    this.#dialogues.set(connection, { hello: null, challenge: null, brokerId: -1 })
    return ErrorCode.NONE
  }

  /** The next step. Bytes are copied where they are kept. */
  answer(connection: ConnectionContext, bytes: Buffer): ProofAnswer {
    const { secret, random } = this.#options
    const dialogue = this.#dialogues.get(connection)
    if (dialogue === undefined || secret === null) {
      return { errorCode: ErrorCode.ILLEGAL_SASL_STATE, message: 'SaslAuthenticate comes after SaslHandshake' }
    }
    if (dialogue.hello === null || dialogue.challenge === null) {
      const hello = decodeBrokerHello(bytes)
      if (hello === null) return this.#refuse(connection, 'no hello of this version', -1)
      if (hello.clusterId !== this.#options.clusterId())
        return this.#refuse(connection, 'another cluster', hello.brokerId)
      if (hello.targetId !== this.#options.nodeId) return this.#refuse(connection, 'meant for another', hello.brokerId)
      dialogue.hello = Buffer.from(bytes)
      dialogue.challenge = encodeBrokerChallenge(random.bytes(PROOF_NONCE_BYTES))
      dialogue.brokerId = hello.brokerId
      return { bytes: dialogue.challenge }
    }
    const { hello, challenge, brokerId } = dialogue
    this.#dialogues.delete(connection)
    if (!isBrokerProof(bytes, 'client', secret, hello, challenge)) {
      return this.#refuse(connection, 'another secret', brokerId)
    }
    connection.brokerId = brokerId
    return { bytes: brokerProof('server', secret, hello, challenge) }
  }

  #refuse(connection: ConnectionContext, reason: string, brokerId: number): ProofAnswer {
    this.#dialogues.delete(connection)
    const { clock, logger } = this.#options
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#toldMs >= TELL_INTERVAL_MS) {
      this.#toldMs = nowMs
      const { clientAddress } = connection
      logger.warn('a broker could not prove that it is one of this cluster', { reason, brokerId, clientAddress })
    }
    // Strangers are told nothing.
    return { errorCode: ErrorCode.SASL_AUTHENTICATION_FAILED, message: 'Authentication failed' }
  }
}
