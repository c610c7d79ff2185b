import { describe, expect, test } from 'vitest'
import { ApiKey } from './api-key.generated.ts'
import { allApis, apis } from './apis.generated.ts'
import { coordinatorPartition, javaStringHash } from './java-hash.ts'

describe('table of APIs', () => {
  test('holds each API at its key and nothing for keys without versions', () => {
    for (const api of allApis) expect(apis[api.key]).toBe(api)
    for (const key of [
      ApiKey.LEADER_AND_ISR,
      ApiKey.STOP_REPLICA,
      ApiKey.UPDATE_METADATA,
      ApiKey.CONTROLLED_SHUTDOWN,
      -1,
      9999,
    ]) {
      expect(apis[key]).toBeUndefined()
    }
  })

  test('never counts an unstable version as the newest', () => {
    const initProducerId = apis[ApiKey.INIT_PRODUCER_ID]!
    expect(initProducerId.latestVersionUnstable).toBe(true)
    expect(initProducerId.maxVersion).toBe(5)
    expect(allApis.filter((api) => api.latestVersionUnstable)).toEqual([initProducerId])
  })

  test('knows the header of versions that nobody serves, since they must be read to be refused', () => {
    const apiVersions = apis[ApiKey.API_VERSIONS]!
    expect(apiVersions.requestHeaderVersion(99)).toBe(2)
    expect(apiVersions.responseHeaderVersion(99)).toBe(0)
  })
})

describe('coordinatorPartition', () => {
  test('takes the hash that Java gives, over UTF-16 units', () => {
    expect(javaStringHash('')).toBe(0)
    expect(javaStringHash('hello')).toBe(99162322)
    expect(javaStringHash('😀')).toBe(1772899)
  })

  test('takes the absolute value of the least int32 as 0', () => {
    expect(javaStringHash('polygenelubricants')).toBe(-0x80000000)
    expect(coordinatorPartition('polygenelubricants', 50)).toBe(0)
  })
})
