import { expect, test } from 'vitest'
import type { PeerTransport } from '../transport/peer-transport.ts'
import { AnswerQueue, MAX_UNSENT_BYTES } from './answer-queue.ts'

class FullTransport implements Pick<PeerTransport, 'send' | 'connected'> {
  readonly connected = new Set([2])
  isFull = true
  sentBytes = 0

  send(_peer: number, _channel: number, payload: Buffer): boolean {
    if (!this.isFull) this.sentBytes += payload.length
    return !this.isFull
  }
}

test('answers wait for room in order, up to a number of bytes; who has so many waiting may ask for nothing more', () => {
  const transport = new FullTransport()
  const answers = new AnswerQueue(transport as unknown as PeerTransport)
  const part = MAX_UNSENT_BYTES / 4
  for (let count = 0; count < 6; count++) {
    expect(answers.admit(2)).toBe(count < 4)
    answers.send(2, Buffer.alloc(part))
  }
  transport.isFull = false
  answers.onWritable(2)
  expect(transport.sentBytes).toBe(MAX_UNSENT_BYTES)
  expect(answers.admit(2)).toBe(true)
})
