import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { deleteGroup, deleteOffsets } from './delete-group.ts'
import { describeGroup } from './describe-group.ts'
import { listGroups } from './list-groups.ts'
import { resetGroup } from './reset-group.ts'

/** `millrace group …`. */
export function groupCommands(dispatch: Dispatch): Command {
  return toGroup('group', 'List and describe groups, show lag, reset offsets, delete', [
    toCommand(listGroups, dispatch),
    toCommand(describeGroup, dispatch),
    toCommand(resetGroup, dispatch),
    toCommand(deleteGroup, dispatch),
    toCommand(deleteOffsets, dispatch),
  ])
}
