import { describe, expect, test } from 'vitest'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol-codec.ts'

describe('what members tell each other', () => {
  test('a subscription is read back', () => {
    const ownedPartitions = [
      { topic: 'a', partition: 1 },
      { topic: 'a', partition: 4 },
      { topic: 'b', partition: 0 },
    ]
    const bytes = encodeSubscription({ topics: ['b', 'a'], ownedPartitions, generationId: 7, clientRack: 'r1' })
    expect(decodeSubscription('m', 'i', bytes)).toEqual({
      memberId: 'm',
      groupInstanceId: 'i',
      topics: ['a', 'b'],
      ownedPartitions,
      generationId: 7,
    })
  })

  test('a subscription of version 0, as old clients send it, has neither owned partitions nor a generation', () => {
    const bytes = Buffer.from('0000' + '00000001' + '0001' + '61' + 'ffffffff', 'hex')
    expect(decodeSubscription('m', null, bytes)).toMatchObject({ topics: ['a'], ownedPartitions: [], generationId: -1 })
  })

  test('the generation of a version 1 subscription comes from the cooperative assignor’s data', () => {
    const bytes = Buffer.from('0001' + '00000001' + '0001' + '61' + '00000004' + '00000009' + '00000000', 'hex')
    expect(decodeSubscription('m', null, bytes)).toMatchObject({ topics: ['a'], generationId: 9 })
  })

  test('a newer version is read as the newest known', () => {
    const bytes = encodeSubscription({ topics: ['a'], ownedPartitions: [], generationId: 1, clientRack: '' })
    bytes.writeInt16BE(9, 0)
    expect(decodeSubscription('m', null, bytes).topics).toEqual(['a'])
  })

  test('an assignment is read back, and no bytes are no partitions', () => {
    const partitions = [
      { topic: 'a', partition: 3 },
      { topic: 'b', partition: 0 },
    ]
    expect(decodeAssignment(encodeAssignment(partitions))).toEqual(partitions)
    expect(decodeAssignment(Buffer.alloc(0))).toEqual([])
  })

  test('bytes that are no assignment are refused', () => {
    expect(() => decodeAssignment(Buffer.from('00010000ffff', 'hex'))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
    )
    expect(() => decodeAssignment(Buffer.from('ffff00000000', 'hex'))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
    )
  })
})
