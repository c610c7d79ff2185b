import {
  coordinatorPartition,
  crc32c,
  javaStringHash,
  MalformedMessageError,
  murmur2,
  partitionForKey,
  Reader,
  Writer,
} from '@millrace/protocol'
import { expectEqual, expectHex, expectOneOf } from './expectations.ts'
import { int64 } from './json-codec.ts'

/** A row of primitives: a value and its bytes, or bytes that decode to a value or fail. */
export interface PrimitiveRow {
  readonly type: string
  readonly value?: string
  readonly hex?: string
  readonly bytes?: string
  readonly decode?: string
  readonly read?: number
  readonly error?: 'underflow' | 'invalid'
}

export interface Murmur2Row {
  readonly key: string
  readonly murmur2: number
  readonly positive: number
  readonly partitions: number
  readonly partition: number
}

export interface PartitionHashRow {
  readonly kind: string
  readonly id: string
  readonly group?: string
  readonly topicId?: string
  readonly partitionIndex?: number
  readonly hashCode: number
  readonly partitions: number
  readonly partition: number
}

/** Types of primitives that the vectors have. */
export const PRIMITIVE_TYPES = new Set(['varint', 'varlong', 'unsignedVarint', 'uuid', 'float64', 'crc32c'])

export function checkPrimitive(row: PrimitiveRow): void {
  if (row.type === 'crc32c') {
    expectEqual('checksum', String(crc32c(Buffer.from(row.bytes!, 'hex')) >>> 0), row.value)
    return
  }
  if (row.error !== undefined) {
    expectMalformed(row)
    return
  }
  const bytes = Buffer.from(row.hex ?? row.decode!, 'hex')
  const reader = new Reader(bytes)
  expectEqual('decoding', textOf(row.type, read(reader, row.type)), normalText(row.type, row.value!))
  expectEqual('bytes read', reader.position, row.read ?? bytes.length)
  if (row.hex !== undefined) {
    const writer = new Writer()
    write(writer, row.type, row.value!)
    expectHex('encoding', writer.toBuffer(), row.hex)
  }
}

export function checkMurmur2(row: Murmur2Row): void {
  const key = Buffer.from(row.key, 'base64')
  const hash = murmur2(key)
  expectEqual('murmur2', hash | 0, row.murmur2)
  expectEqual('positive', hash & 0x7fffffff, row.positive)
  expectEqual('partition', partitionForKey(key, row.partitions), row.partition)
}

export function checkPartitionHash(row: PartitionHashRow): void {
  expectOneOf('kind', row.kind, ['group', 'transaction', 'share'])
  if (row.kind === 'share') expectEqual('id', `${row.group}:${row.topicId}:${row.partitionIndex}`, row.id)
  expectEqual('hash', javaStringHash(row.id), row.hashCode)
  expectEqual('partition', coordinatorPartition(row.id, row.partitions), row.partition)
}

function expectMalformed(row: PrimitiveRow): void {
  try {
    read(new Reader(Buffer.from(row.decode!, 'hex')), row.type)
  } catch (error) {
    if (!(error instanceof MalformedMessageError)) throw error
    expectEqual('failure', error.reason === 'truncated' ? 'underflow' : 'invalid', row.error)
    return
  }
  expectEqual('failure', 'none', row.error)
}

function read(reader: Reader, type: string): number | bigint | string {
  switch (type) {
    case 'varint':
      return reader.varint()
    case 'varlong':
      return reader.varlong()
    case 'unsignedVarint':
      return reader.unsignedVarint()
    case 'uuid':
      return reader.uuid()
    case 'float64':
      return reader.float64()
    default:
      throw new Error(`unknown primitive ${type}`)
  }
}

function write(writer: Writer, type: string, text: string): void {
  switch (type) {
    case 'varint':
      writer.varint(Number(text))
      break
    case 'varlong':
      writer.varlong(int64(text))
      break
    case 'unsignedVarint':
      writer.unsignedVarint(Number(text) >>> 0)
      break
    case 'uuid':
      writer.uuid(text as Parameters<Writer['uuid']>[0])
      break
    case 'float64':
      writer.float64(Number(text))
      break
    default:
      throw new Error(`unknown primitive ${type}`)
  }
}

/** Ours as the vectors write it: Java has no unsigned int32. */
function textOf(type: string, value: number | bigint | string): string {
  return type === 'unsignedVarint' ? String(Number(value) | 0) : String(value)
}

/** Java and JavaScript print the same float64 differently. */
function normalText(type: string, text: string): string {
  return type === 'float64' ? String(Number(text)) : text
}
