"""What an instance group runs (`application`): its user data, its permissions, and the versions of what it is made of."""
