import { createConsumerProtocolSubscription, encodeConsumerProtocolSubscription, Writer } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { parseSubscribedTopics } from './consumer-protocol.ts'

function metadata(topics: string[], version = 0): Buffer {
  const writer = new Writer()
  writer.int16(version)
  encodeConsumerProtocolSubscription(writer, createConsumerProtocolSubscription({ topics }), version)
  return writer.toBuffer()
}

describe('the topics of a subscription', () => {
  it('are read from every version', () => {
    for (const version of [0, 1, 2, 3]) expect(parseSubscribedTopics(metadata(['a', 'b'], version))).toEqual(['a', 'b'])
  })

  it('are unknown where the metadata is no subscription', () => {
    expect(parseSubscribedTopics(Buffer.alloc(0))).toBeNull()
    expect(parseSubscribedTopics(Buffer.from([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]))).toBeNull()
    expect(parseSubscribedTopics(metadata(['a', 'b']).subarray(0, 9))).toBeNull()
  })

  it('are not decoded when they are more than any member subscribes to', () => {
    expect(parseSubscribedTopics(metadata(new Array<string>(100_000).fill('')))).toHaveLength(100_000)
    expect(parseSubscribedTopics(metadata(new Array<string>(100_001).fill('')))).toBeNull()
  })
})
