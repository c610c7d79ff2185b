import type { SeededRandom } from '@millrace/base'
import type { MemorySocket, TestBroker } from '@millrace/broker/testing'
import { type HttpAttack, healthRequest, httpAttack, httpComplaint } from './http-attacks.ts'

/** One connection of HTTP to the broker under test. */
export class HttpProbe {
  readonly #attack: HttpAttack
  readonly #socket: MemorySocket
  #text = ''

  /** `random`: null asks for what the hidden requests ask for, and hides nothing. */
  constructor(broker: TestBroker, random: SeededRandom | null, address: string) {
    this.#attack = random === null ? healthRequest : httpAttack(random)
    this.#socket = broker.openSocket(address)
    this.#socket.onBytes = (bytes) => {
      this.#text += bytes.toString('latin1')
    }
    this.#socket.send(this.#attack.bytes)
  }

  get sent(): Buffer {
    return this.#attack.bytes
  }

  /** It asked for something, whole, and nothing has come back. */
  get isPending(): boolean {
    return !this.#socket.isClosed && this.#text === '' && this.#attack.bytes.includes('\r\n\r\n')
  }

  get isAnswered(): boolean {
    return this.#text !== ''
  }

  /** Returns what is wrong with what came back, or null. */
  finish(): string | null {
    this.#socket.close()
    return httpComplaint(this.#attack, this.#text)
  }
}
