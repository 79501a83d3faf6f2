"""decomposer-1.5b: the LoRA adapter that writes plans for anabranch, as data of this package."""
