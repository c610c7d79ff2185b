import type { ConsumerRecord } from '@millrace/client'

export interface FakeRecordFields {
  topic?: string
  partition?: number
  offset?: bigint
  timestamp?: number
  key?: string | Buffer | null
  value?: string | Buffer | null
  headers?: [string, string | Buffer | null][]
}

/** A record as a consumer hands it out. */
export function fakeRecord(fields: FakeRecordFields): ConsumerRecord {
  const { topic = 't', partition = 0, offset = 0n, timestamp = 0, key = null, value = null, headers = [] } = fields
  const bytes = (text: string | Buffer | null) => (typeof text === 'string' ? Buffer.from(text) : text)
  return {
    topic,
    partition,
    offset,
    timestamp,
    key: bytes(key),
    value: bytes(value),
    headers: headers.map(([name, text]) => ({ key: name, value: bytes(text) })),
  } as unknown as ConsumerRecord
}
