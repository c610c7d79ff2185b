import { describe, expect, test } from 'vitest'
import { UnsupportedFieldError, UnsupportedVersionError } from '../wire/encode-errors.ts'
import { MalformedMessageError } from '../wire/malformed-message-error.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import * as messages from './index.generated.ts'

describe('versions', () => {
  test('that a message does not have are refused by name, both ways', () => {
    const request = messages.createFetchRequest()
    expect(() => messages.encodeFetchRequest(new Writer(), request, 3)).toThrow(UnsupportedVersionError)
    expect(() => messages.decodeFetchRequest(new Reader(Buffer.alloc(0)), 19)).toThrow('FetchRequest has no version 19')
  })

  test('that are not final upstream can be read and written', () => {
    const request = messages.createInitProducerIdRequest({ transactionalId: 't', keepPreparedTxn: true })
    const writer = new Writer()
    messages.encodeInitProducerIdRequest(writer, request, 6)
    expect(messages.decodeInitProducerIdRequest(new Reader(writer.toBuffer()), 6)).toEqual(request)
  })
})

describe('null', () => {
  test('is refused by versions that forbid it, for arrays, strings and records', () => {
    const request = messages.createMetadataRequest({ topics: null })
    expect(() => messages.encodeMetadataRequest(new Writer(), request, 0)).toThrow(UnsupportedFieldError)
    expect(() => messages.encodeMetadataRequest(new Writer(), request, 1)).not.toThrow()

    const topics = [messages.createMetadataRequestTopic({ name: null })]
    const byId = messages.createMetadataRequest({ topics })
    expect(() => messages.encodeMetadataRequest(new Writer(), byId, 9)).toThrow('name')
    expect(() => messages.encodeMetadataRequest(new Writer(), byId, 12)).not.toThrow()

    const partitions = [messages.createFetchSnapshotResponsePartitionSnapshot()]
    const snapshot = messages.createFetchSnapshotResponse({
      topics: [messages.createFetchSnapshotResponseTopicSnapshot({ partitions })],
    })
    expect(() => messages.encodeFetchSnapshotResponse(new Writer(), snapshot, 1)).toThrow('unalignedRecords')
  })

  test('on the wire is malformed where it is forbidden', () => {
    const nullTopics = Buffer.from([0xff, 0xff, 0xff, 0xff])
    expect(() => messages.decodeMetadataRequest(new Reader(nullTopics), 0)).toThrow(MalformedMessageError)
    expect(messages.decodeMetadataRequest(new Reader(nullTopics), 1).topics).toBeNull()
  })

  test('given to a create function stays null, also where the default is something else', () => {
    expect(messages.createMetadataRequest({ topics: null }).topics).toBeNull()
    expect(messages.createMetadataRequest().topics).toEqual([])
  })
})

describe('tagged fields', () => {
  const unknownTaggedFields = [{ tag: 77, data: Buffer.from('x') }]

  test('cannot be written in versions that are not flexible', () => {
    const request = messages.createFetchRequest({ unknownTaggedFields })
    expect(() => messages.encodeFetchRequest(new Writer(), request, 11)).toThrow(UnsupportedFieldError)
    expect(() => messages.encodeFetchRequest(new Writer(), request, 12)).not.toThrow()
  })

  test('that only later versions know are unknown in earlier ones, and kept', () => {
    const replicaState = messages.createFetchRequestReplicaState({ replicaId: 1, replicaEpoch: 5 })
    const writer = new Writer()
    messages.encodeFetchRequest(writer, messages.createFetchRequest({ replicaState }), 15)
    const newer = messages.decodeFetchRequest(new Reader(writer.toBuffer()), 15)
    expect(newer.replicaState).toEqual(replicaState)

    const older = Buffer.concat([Buffer.alloc(4), writer.toBuffer()]) // version 12 begins with the replica id
    const decoded = messages.decodeFetchRequest(new Reader(older), 12)
    expect(decoded.unknownTaggedFields?.map(({ tag }) => tag)).toEqual([1])
  })

  test('whose value does not fill their size are malformed', () => {
    const writer = new Writer()
    messages.encodeFetchRequest(writer, messages.createFetchRequest({ clusterId: 'abc' }), 12)
    const bytes = Buffer.from(writer.toBuffer())
    const sizeAt = bytes.length - 5
    expect(bytes[sizeAt]).toBe(4)
    const longer = Buffer.concat([bytes, Buffer.from([0])])
    longer[sizeAt] = 5
    expect(() => messages.decodeFetchRequest(new Reader(longer), 12)).toThrow('does not fill its size')
  })

  test('may be as large as what they hold, if the schema knows them: what is stored must be read again', () => {
    const protocol = messages.createClassicProtocol({ name: 'range', metadata: Buffer.alloc(200_000, 7) })
    const classicMemberMetadata = messages.createClassicMemberMetadata({ supportedProtocols: [protocol] })
    const value = messages.createConsumerGroupMemberMetadataValue({ classicMemberMetadata })
    const writer = new Writer()
    messages.encodeConsumerGroupMemberMetadataValue(writer, value, 0)
    expect(messages.decodeConsumerGroupMemberMetadataValue(new Reader(writer.toBuffer()), 0)).toEqual(value)
  })
})

describe('framing of stored records', () => {
  const definitionOf = (name: string) => messages.dataDefinitions.find((definition) => definition.name === name)!

  test('tells key and version of a metadata record', () => {
    const writer = new Writer()
    messages.encodeFramed(writer, definitionOf('NoOpRecord'), messages.createNoOpRecord(), 0)
    const reader = new Reader(writer.toBuffer())
    expect(messages.readMetadataFrame(reader)).toEqual({ key: 20, version: 0 })
    expect(messages.decodeNoOpRecord(reader, 0)).toEqual(messages.createNoOpRecord())
  })

  test('refuses a metadata frame of another version', () => {
    expect(() => messages.readMetadataFrame(new Reader(Buffer.from([2, 0, 0])))).toThrow(MalformedMessageError)
  })
})
