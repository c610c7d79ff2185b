import { SimulatedDisk, type Uuid } from '@millrace/base'
import { expect, test } from 'vitest'
import { fill, open, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const OTHER_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid

test.each(['in the same process', 'after a restart'])(
  'the log start of a deleted topic is not taken for that of a new one of its name, made %s',
  async (when) => {
    let disk = new SimulatedDisk()
    let opened = await open(disk)
    const old = opened.manager.createLog('topic', 0, TOPIC_ID)
    await fill(opened, old, 60)
    old.setHighWatermark(60)
    old.raiseLogStart(35)
    opened.timers.advance(61_000)
    await turns()
    expect(disk.readFile('/data/log-start-offset-checkpoint').toString()).toContain('topic 0 35')
    if (when === 'after a restart') {
      disk = disk.killed()
      opened = await open(disk)
    }
    opened.manager.deleteLog(opened.manager.log('topic', 0)!)
    const log = opened.manager.createLog('topic', 0, OTHER_TOPIC_ID)
    await fill(opened, log, 10)
    opened.timers.advance(2000)
    await turns()
    const killed = disk.killed()
    const again = await open(killed)
    const recovered = again.manager.log('topic', 0)!
    expect([recovered.logStartOffset, recovered.logEndOffset]).toEqual([0, 10])
    expect(killed.listDirectory('/data/topic-0').filter((name) => name.endsWith('.stray'))).toEqual([])
  },
)
