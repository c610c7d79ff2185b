import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { type FingerprintedSegment, fingerprintOfAll, fingerprintOfClosed, matchFingerprint } from './fingerprint.ts'

const BASES = [0, 100, 200, 300]

function segmentsOf(bases: readonly number[], unsettledBase = -1): FingerprintedSegment[] {
  return bases.map((baseOffset) => ({
    baseOffset,
    hasUnsettledEnd: baseOffset === unsettledBase,
    // Any values will do, large ones overflow.
    fingerprint: () => (0xdeadbeef * (baseOffset + 1)) >>> 0,
  }))
}

/** -1 if nothing agrees. */
function surplusCount(...input: Parameters<typeof matchFingerprint>): number {
  return matchFingerprint(...input)?.surplusCount ?? -1
}

function emptyDisk(): SimulatedDisk {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/log')
  return disk
}

test('a fingerprint counts the segments that end at or below the offset', () => {
  const all = segmentsOf(BASES)
  expect(fingerprintOfClosed(all, 99)).toBe(0)
  expect(fingerprintOfClosed(all, 100)).toBe(fingerprintOfClosed(all.slice(0, 2), 299))
  expect(fingerprintOfClosed(all, 299)).not.toBe(fingerprintOfClosed(all, 300))
  expect(fingerprintOfClosed(all, 300)).toBe(fingerprintOfClosed(all, 1000))
})

test('segments in front that are not counted are told from others that changed', () => {
  const disk = emptyDisk()
  for (const [clean, recoveryPoint] of [
    [false, 350],
    [false, 200],
    [true, 0],
  ] as const) {
    for (let from = 0; from < 3; from++) {
      const kept = segmentsOf(BASES.slice(from))
      const fingerprint = clean ? fingerprintOfAll(disk, '/log', kept) : fingerprintOfClosed(kept, recoveryPoint)
      const surplus = surplusCount(disk, '/log', segmentsOf(BASES), fingerprint, clean, recoveryPoint)
      expect(surplus, `${clean} ${recoveryPoint} ${from}`).toBe(from)
    }
    const whole = segmentsOf(BASES)
    const fingerprint = clean ? fingerprintOfAll(disk, '/log', whole) : fingerprintOfClosed(whole, recoveryPoint)
    expect(surplusCount(disk, '/log', segmentsOf([0, 200, 300]), fingerprint, clean, recoveryPoint)).toBe(-1)
    expect(surplusCount(disk, '/log', segmentsOf([100, 200, 300]), fingerprint, clean, recoveryPoint)).toBe(-1)
  }
})

test('the last segment counts as closed where the file of the next one was never made', () => {
  const fingerprint = fingerprintOfClosed(segmentsOf(BASES), 300)
  expect(surplusCount(emptyDisk(), '/log', segmentsOf(BASES.slice(0, 3)), fingerprint, false, 300)).toBe(0)
  expect(surplusCount(emptyDisk(), '/log', segmentsOf(BASES.slice(0, 2)), fingerprint, false, 300)).toBe(-1)
})

test('a segment that was closed just at the recovery point, after that was noted, need not be counted', () => {
  const fingerprint = fingerprintOfClosed(segmentsOf(BASES.slice(0, 3)), 300)
  expect(surplusCount(emptyDisk(), '/log', segmentsOf(BASES), fingerprint, false, 300)).toBe(0)
  expect(surplusCount(emptyDisk(), '/log', segmentsOf(BASES), fingerprint, false, 350)).toBe(-1)
  expect(surplusCount(emptyDisk(), '/log', segmentsOf([0, 200, 300]), fingerprint, false, 300)).toBe(-1)
})

test('no log is what is left when all segments are left out', () => {
  const disk = emptyDisk()
  expect(surplusCount(disk, '/log', segmentsOf([0]), fingerprintOfAll(disk, '/log', []), true, 0)).toBe(-1)
  expect(surplusCount(disk, '/log', [], fingerprintOfAll(disk, '/log', []), true, 0)).toBe(0)
})

test('a segment that was closed just at the offset counts once its end is on the disk, others always', () => {
  expect(fingerprintOfClosed(segmentsOf(BASES, 200), 300)).toBe(fingerprintOfClosed(segmentsOf(BASES.slice(0, 3)), 300))
  expect(fingerprintOfClosed(segmentsOf(BASES, 200), 301)).toBe(fingerprintOfClosed(segmentsOf(BASES), 300))
  expect(fingerprintOfClosed(segmentsOf(BASES, 100), 300)).toBe(fingerprintOfClosed(segmentsOf(BASES), 300))
})

test('a match tells how far the fingerprint counts', () => {
  const match = (fingerprint: number, bases: readonly number[], recoveryPoint: number) =>
    matchFingerprint(emptyDisk(), '/log', segmentsOf(bases), fingerprint, false, recoveryPoint)
  const ofThree = fingerprintOfClosed(segmentsOf(BASES), 300)
  const ofTwo = fingerprintOfClosed(segmentsOf(BASES.slice(0, 3)), 300)
  expect(match(ofThree, BASES, 300)).toEqual({ surplusCount: 0, countedEnd: 3 })
  expect(match(ofTwo, BASES, 300)).toEqual({ surplusCount: 0, countedEnd: 2 })
  expect(match(ofThree, BASES.slice(0, 3), 300)).toEqual({ surplusCount: 0, countedEnd: 3 })
  expect(match(ofTwo - 1, BASES, 300)).toBeNull()
})
