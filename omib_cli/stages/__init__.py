"""One file per stage: ``run(recipe, inputs, out, job) -> StageResult``; nothing here prints or parses arguments."""
