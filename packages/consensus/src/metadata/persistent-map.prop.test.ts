import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PersistentMap } from './persistent-map.ts'

const key = fc.integer({ min: 0, max: 40 }).map((number) => `key-${number}`)
const changes = fc.array(fc.tuple(key, fc.option(fc.integer(), { nil: undefined })), { maxLength: 8 })

test('a persistent map always holds what a copied map would, and earlier versions stay as they were', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 60 }), (batches) => {
      let map = PersistentMap.empty<string, number>()
      let model = new Map<string, number>()
      const versions: [PersistentMap<string, number>, Map<string, number>][] = [[map, model]]
      for (const batch of batches) {
        model = new Map(model)
        for (const [name, value] of batch) {
          if (value === undefined) model.delete(name)
          else model.set(name, value)
        }
        map = map.withChanges(new Map(batch))
        versions.push([map, model])
      }
      for (const [version, expected] of versions) {
        expect(new Map(version)).toEqual(expected)
        expect(version.size).toBe(expected.size)
        expect(new Set(version.keys())).toEqual(new Set(expected.keys()))
        for (let number = 0; number <= 40; number++) {
          const name = `key-${number}`
          expect(version.get(name)).toBe(expected.get(name))
          expect(version.has(name)).toBe(expected.has(name))
        }
      }
    }),
  )
})

test('many single changes to a large map do not copy it each time', () => {
  let copiedCount = 0
  const OriginalMap = globalThis.Map
  globalThis.Map = class<K, V> extends OriginalMap<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      if (entries instanceof OriginalMap) copiedCount += entries.size
      super(entries)
    }
  } as MapConstructor
  let map = PersistentMap.empty<number, number>()
  try {
    for (let number = 0; number < 20_000; number++) map = map.withChanges(new OriginalMap([[number, number]]))
  } finally {
    globalThis.Map = OriginalMap
  }
  expect(map.size).toBe(20_000)
  expect(map.get(19_999)).toBe(19_999)
  // n √n, for the layers and for the bases; copying all each time would be 200 million.
  expect(copiedCount).toBeGreaterThan(20_000)
  expect(copiedCount).toBeLessThan(2 * 20_000 ** 1.5)
})
