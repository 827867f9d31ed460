"""The five-head control transformer: body pose, hands and game state in, 28 Minecraft controls out."""
