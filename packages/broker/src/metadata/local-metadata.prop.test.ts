import { SeededRandom } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CrashDisk } from './testing/crash-disk.ts'
import { newTopic, openMetadata, thisBroker } from './testing/fixtures.ts'

/** Topics and their ids. */
function topicsOf(image: MetadataImage): Record<string, string> {
  return Object.fromEntries([...image.topics.values()].map((topic) => [topic.name, topic.id]))
}

// Goal: whatever the moment of a crash, what was answered is there afterwards, nothing is there that was never asked for, and the
// journal takes new records. Method: topics come and go, some requests at once; the disk crashes at random points between turns, also
// while a write or a snapshot is under way; each life continues on what the crash left.
test('what was answered survives any crash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat({ max: 6 })), { minLength: 1, maxLength: 5 }), {
        minLength: 1,
        maxLength: 12,
      }),
      async (seed, lives) => {
        const random = new SeededRandom(seed)
        let disk = new CrashDisk()
        let acknowledged: Record<string, string> = {}
        const everMade = new Set<string>()
        for (const life of lives) {
          const metadata = openMetadata({ disk, random, maxBytesBetweenSnapshots: 2000, onFatal: () => undefined })
          const found = topicsOf(metadata.image)
          for (const [name, id] of Object.entries(acknowledged)) expect(found[name], `${name} was lost`).toBe(id)
          for (const id of Object.values(found)) expect(everMade.has(id), `${id} was never made`).toBe(true)
          acknowledged = found
          await metadata.registerBroker(thisBroker)
          let crashed: CrashDisk | null = null
          for (const [name, turns] of life) {
            const existing = acknowledged[name]
            let answered = false
            if (existing === undefined) {
              const request = metadata.createTopics({ topics: [newTopic(name)], validateOnly: false })
              void request.then(([result]) => {
                answered = true
                everMade.add(result!.topicId)
                acknowledged[name] = result!.topicId
              })
            } else {
              // From the moment that it is asked for, the topic may be gone.
              delete acknowledged[name]
              void metadata.deleteTopics([{ name: null, topicId: existing as never }]).then(() => {
                answered = true
              })
            }
            for (let turn = 0; turn < turns; turn++) await Promise.resolve()
            if (!answered && random.uint32() % 3 === 0) {
              crashed = disk.afterCrash(random)
              // The request may or may not have reached the disk: both are right, but nothing else.
              for (let turn = 0; turn < 50; turn++) await Promise.resolve()
              const late = topicsOf(metadata.image)
              for (const id of Object.values(late)) everMade.add(id)
              if (existing === undefined) delete acknowledged[name]
              break
            }
            for (let turn = 0; turn < 50; turn++) await Promise.resolve()
            expect(answered).toBe(true)
          }
          disk = crashed ?? disk.afterCrash(random)
        }
      },
    ),
    { numRuns: 200 },
  )
})
