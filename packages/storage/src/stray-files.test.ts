import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { StrayFiles } from './stray-files.ts'
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
  again.timers.advance(31_000)
  expect(again.manager.directories()[0]).toMatchObject({ strayCount: 0, strayBytes: 0 })
  await again.manager.shutdown()
  expect((await open(disk)).warnings).not.toContain(WARNING)
})

test('to tell what was set aside costs no look at the disk, and to look again a bounded number of them', async () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data')
  const names = Array.from({ length: 250 }, (_, number) => `${number}.log.ab.stray`)
  for (const name of names) overwriteFile(disk, `/data/${name}`, Buffer.alloc(10))
  const strays = new StrayFiles(disk)
  strays.addFrom('/data', names)
  let lookCount = 0
  const stat = disk.stat.bind(disk)
  disk.stat = (path) => {
    lookCount++
    return stat(path)
  }
  for (const name of names.slice(0, 240)) disk.removeFile(`/data/${name}`)
  expect([strays.totals(), lookCount]).toEqual([{ count: 250, sizeBytes: 2500 }, 0])
  strays.lookAgain()
  expect([strays.totals(), lookCount]).toEqual([{ count: 150, sizeBytes: 1500 }, 100])
  for (let round = 0; round < 3; round++) strays.lookAgain()
  expect(strays.totals()).toEqual({ count: 10, sizeBytes: 100 })
  strays.add('/data/245.log.ab.stray', 70)
  expect(strays.totals()).toEqual({ count: 10, sizeBytes: 160 })
})
