import { ApiKey } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { answeredKey } from './answer-checker.ts'
import { missingVersions } from './coverage.ts'
import { servedVersions } from './frame-source.ts'

test('a version that is served and was never answered is found', () => {
  const answered = new Set<number>()
  for (const [key, { minVersion, maxVersion }] of servedVersions) {
    for (let version = minVersion; version <= maxVersion; version++) answered.add(answeredKey(key, version))
  }
  expect(missingVersions(answered)).toEqual([])
  answered.delete(answeredKey(ApiKey.FETCH, 12))
  answered.delete(answeredKey(ApiKey.FETCH, 13))
  expect(missingVersions(answered)).toEqual(['Fetch was never answered in version 12, 13'])
})
