import type { BrokerHeartbeat, ControllerEvents, ControllerRequest, MetadataRecord } from '@millrace/consensus'
import { FakeControllerPort } from './fake-controller-port.ts'

/** A controller for one broker: registers it, lets it in and lets it go; everything else a test commits itself. */
export class ScriptedController extends FakeControllerPort {
  /** Whether a broker that asks for it may stop. */
  releases = true
  #offset = 0
  #brokerEpoch = -1
  #isFenced = true

  constructor() {
    super()
    this.answers.set('readBarrier', () => ({ offset: this.#offset }))
    this.answers.set('registerBroker', (request) => this.#register(request))
  }

  override start(events: ControllerEvents): void {
    super.start(events)
    this.commit({ type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 25 })
  }

  override commit(...records: MetadataRecord[]): void {
    this.#offset += records.length
    super.commit(...records)
  }

  override heartbeat(heartbeat: BrokerHeartbeat): void {
    super.heartbeat(heartbeat)
    // Never from inside the call.
    queueMicrotask(() => this.#answer(heartbeat))
  }

  #register(request: ControllerRequest<'registerBroker'>): { brokerEpoch: number } {
    const { brokerId, incarnationId, endpoints, features, rack, directories } = request
    this.#brokerEpoch = this.#offset
    this.#isFenced = true
    this.commit({
      type: 'RegisterBrokerRecord',
      brokerId,
      incarnationId,
      brokerEpoch: this.#brokerEpoch,
      endPoints: endpoints,
      features: Object.fromEntries(features),
      rack,
      fenced: true,
      inControlledShutdown: false,
      logDirs: directories,
    })
    return { brokerEpoch: this.#brokerEpoch }
  }

  #answer({ brokerId, wantFence, wantShutDown }: BrokerHeartbeat): void {
    if (wantFence === this.#isFenced || this.isClosed) {
      this.answerHeartbeat({ isFenced: this.#isFenced, shouldShutDown: wantShutDown && this.releases })
      return
    }
    this.#isFenced = wantFence
    this.commit({
      type: 'BrokerRegistrationChangeRecord',
      brokerId,
      brokerEpoch: this.#brokerEpoch,
      fenced: wantFence,
    })
    this.answerHeartbeat({ isFenced: wantFence, shouldShutDown: wantShutDown && this.releases })
  }
}
