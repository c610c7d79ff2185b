import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { fill, open, overwriteFile } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const WARNING = 'files set aside (*.stray, *-stray) take space until somebody removes them'

test('what was set aside is reported by every start, until it is removed', async () => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 10)
  const { sizeBytes } = log
  expect(opened.manager.directories()[0]).toMatchObject({ strayCount: 0, strayBytes: 0 })
  opened.manager.setAsideStray(log)
  expect(opened.manager.directories()[0]).toMatchObject({ strayCount: 1, strayBytes: sizeBytes })
  await opened.manager.shutdown()
  disk.makeDirectory('/data/topic-1')
  overwriteFile(disk, '/data/topic-1/partition.metadata', Buffer.from(`version: 0\ntopic_id: ${TOPIC_ID}`))
  overwriteFile(disk, '/data/topic-1/00000000000000000000.log.ab.stray', Buffer.alloc(1000))
  const again = await open(disk)
  expect(again.warnings).toContain(WARNING)
  const { strayCount, strayBytes } = again.manager.directories()[0]!
  expect(strayCount).toBe(2)
  expect(strayBytes).toBeGreaterThanOrEqual(sizeBytes + 1000)
  disk.removeFile('/data/topic-1/00000000000000000000.log.ab.stray')
  const directory = disk.listDirectory('/data').find((name) => name.endsWith('-stray'))
  await disk.removeTree(`/data/${directory}`)
  expect(again.manager.directories()[0]).toMatchObject({ strayCount: 0, strayBytes: 0 })
  await again.manager.shutdown()
  expect((await open(disk)).warnings).not.toContain(WARNING)
})
