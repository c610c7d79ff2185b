import { expect, test } from 'vitest'
import { ApiKey } from '../api/api-key.generated.ts'
import { createRequestHeader } from '../messages/headers.generated.ts'
import { MalformedMessageError } from '../wire/malformed-message-error.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import { readRequestHeader, writeRequestHeader } from './request-frame.ts'

test('reads the header that goes with the API version', () => {
  for (const requestApiVersion of [4, 11, 12, 18]) {
    const header = createRequestHeader({
      requestApiKey: ApiKey.FETCH,
      requestApiVersion,
      correlationId: 7,
      clientId: 'c',
    })
    const writer = new Writer()
    writeRequestHeader(writer, header)
    const reader = new Reader(writer.toBuffer())
    expect(readRequestHeader(reader)).toEqual(header)
    expect(reader.remaining).toBe(0)
  }
})

test('reads the header of a version that is too new to be served', () => {
  const header = createRequestHeader({ requestApiKey: ApiKey.API_VERSIONS, requestApiVersion: 99, correlationId: 1 })
  const writer = new Writer()
  writeRequestHeader(writer, header)
  expect(readRequestHeader(new Reader(writer.toBuffer()))).toMatchObject({ requestApiVersion: 99, correlationId: 1 })
})

test('refuses keys that are unknown or have no versions left', () => {
  for (const apiKey of [9999, -1, ApiKey.LEADER_AND_ISR]) {
    const writer = new Writer()
    writer.int16(apiKey)
    writer.int16(0)
    writer.raw(Buffer.alloc(20))
    expect(() => readRequestHeader(new Reader(writer.toBuffer()))).toThrow(MalformedMessageError)
  }
})
