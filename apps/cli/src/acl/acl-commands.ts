import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { addAcls } from './add-acls.ts'
import { listAcls } from './list-acls.ts'
import { removeAcls } from './remove-acls.ts'

/** `millrace acl …`. */
export function aclCommands(dispatch: Dispatch): Command {
  return toGroup('acl', 'Say who may do what: list, add and remove rules', [
    toCommand(listAcls, dispatch),
    toCommand(addAcls, dispatch),
    toCommand(removeAcls, dispatch),
  ])
}
