import type { ControllerPort, ControllerRequest, ControllerRequestName, MetadataImage } from '@millrace/consensus'
import { MetadataStream } from './metadata-stream.ts'
import { sentErrorOf } from './sent-error.ts'
import { THREAD_PROTOCOL_VERSION, type ToBroker, type ToController } from './thread-messages.ts'

/** The controller's end of the way between the two threads: serves a {@link ControllerPort} to whoever sits at the other. */
export class ControllerPortServer {
  readonly #node: ControllerPort & { readonly image: MetadataImage }
  readonly #post: (message: ToBroker) => void
  readonly #stream: MetadataStream

  constructor(node: ControllerPort & { readonly image: MetadataImage }, post: (message: ToBroker) => void) {
    this.#node = node
    this.#post = post
    this.#stream = new MetadataStream(post, () => node.image)
  }

  /** Resolves once the node is closed, for the message that asks for it; else at once. */
  async onMessage(message: ToController): Promise<void> {
    switch (message.type) {
      case 'start':
        this.#start(message.version)
        break
      case 'request':
        this.#request(message.id, message.name, message.request, message.timeoutMs)
        break
      case 'heartbeat':
        this.#node.heartbeat(message.heartbeat)
        break
      case 'confirm':
        this.#stream.onConfirmed()
        break
      case 'close':
        await this.#node.close()
        this.#post({ type: 'closed' })
    }
  }

  #start(version: number): void {
    if (version !== THREAD_PROTOCOL_VERSION) {
      this.#post({
        type: 'fatal',
        error: sentErrorOf(new Error('the two threads of this node are of different builds')),
      })
      return
    }
    this.#node.start({
      onRecords: (startOffset, records) => this.#stream.onRecords(startOffset, records),
      onImage: (image) => this.#stream.onImage(image),
      onActiveController: (id) => this.#post({ type: 'activeController', id }),
      onHeartbeatAnswer: (answer) => this.#post({ type: 'heartbeatAnswer', answer }),
      onFatal: (error) => this.#post({ type: 'fatal', error: sentErrorOf(error) }),
    })
  }

  #request(id: number, name: ControllerRequestName, request: unknown, timeoutMs: number): void {
    this.#node.request(name, request as ControllerRequest<typeof name>, timeoutMs).then(
      (answer) => this.#post({ type: 'answer', id, answer }),
      (error: unknown) => this.#post({ type: 'refusal', id, error: sentErrorOf(error) }),
    )
  }
}
