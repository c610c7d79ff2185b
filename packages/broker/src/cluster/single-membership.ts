import type { Uuid } from '@millrace/base'
import type { BrokerRegistration } from '@millrace/consensus'
import type { LocalMetadata } from '../metadata/local-metadata.ts'
import { BrokerState } from './broker-lifecycle.ts'
import type { Membership } from './membership.ts'

/** The only node of its cluster: it knows all there is, and nobody can take anything over. */
export class SingleMembership implements Membership {
  readonly metadata: LocalMetadata
  readonly #nodeId: number
  readonly #registration: () => BrokerRegistration
  #state: BrokerState = BrokerState.STARTING

  /** `registration` is asked for once the listeners are bound. */
  constructor(metadata: LocalMetadata, nodeId: number, registration: () => BrokerRegistration) {
    this.metadata = metadata
    this.#nodeId = nodeId
    this.#registration = registration
  }

  get activeController(): number {
    return this.#nodeId
  }

  get controllerUnknownMs(): number {
    return 0
  }

  /** Nobody could take it for dead. */
  get isFenced(): boolean {
    return false
  }

  get state(): BrokerState {
    return this.#state
  }

  get waitsFor(): string {
    return 'its own metadata to be written'
  }

  /** There is nobody to lag behind. */
  catchUp(): Promise<void> {
    return Promise.resolve()
  }

  takeRemovedTopics(): ReadonlyMap<Uuid, string> {
    return this.metadata.takeRemovedTopics()
  }

  async register(): Promise<void> {
    const answer = await this.metadata.registerBroker(this.#registration())
    if ('code' in answer) throw new Error(`this broker was not accepted: ${answer.message ?? `error ${answer.code}`}`)
    this.#state = BrokerState.RUNNING
  }

  /** A registration of one's own is never fenced. */
  unfence(): Promise<void> {
    return Promise.resolve()
  }

  onDirectoryFailed(): void {
    // There is nobody to tell, nor anybody to lead in its place.
  }

  async leave(): Promise<void> {
    this.#state = BrokerState.SHUTTING_DOWN
  }

  close(): Promise<void> {
    return this.metadata.close()
  }
}
