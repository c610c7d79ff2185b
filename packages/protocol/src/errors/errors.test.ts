import { expect, test } from 'vitest'
import { ErrorCode, errorInfos } from './error-code.generated.ts'
import { errorInfo } from './error-lookup.ts'

test('every code is found under its own number', () => {
  for (const [name, code] of Object.entries(ErrorCode)) {
    expect(errorInfo(code)).toMatchObject({ name, code })
  }
  expect(errorInfos).toHaveLength(Object.keys(ErrorCode).length)
})

test('a code of a newer broker is an unknown server error, not retriable', () => {
  for (const code of [-2, errorInfos.length - 1, 32767]) {
    expect(errorInfo(code)).toMatchObject({ name: 'UNKNOWN_SERVER_ERROR', retriable: false })
  }
})

test('tells retriable errors and those that ask for new metadata', () => {
  expect(errorInfo(ErrorCode.NOT_LEADER_OR_FOLLOWER)).toMatchObject({ retriable: true, refreshMetadata: true })
  expect(errorInfo(ErrorCode.REQUEST_TIMED_OUT)).toMatchObject({ retriable: true, refreshMetadata: false })
  expect(errorInfo(ErrorCode.OFFSET_OUT_OF_RANGE)).toMatchObject({ retriable: false })
})
